"""One or two command lines for each command, as `--help` ends with them."""

from typing import Final

# By the command's words. tests/e2e/test_cli_help.py runs them in this order, in a directory with the files they name.
EXAMPLES: Final = {
    "": ("tillroll serve", "tillroll import purchases.ndjson", "tillroll report hour-bracket --by day,bracket"),
    "serve": (
        "tillroll serve --data ./shop --port 8080 --keep country,channel",
        "tillroll serve --host 0.0.0.0 --tokens-file tokens",
    ),
    "import": (
        "tillroll import purchases.ndjson more.csv.gz",
        "tillroll import - --name archive-2025 < archive.ndjson",
    ),
    "report": (
        "tillroll report hour-bracket --from 2026-11-01 --to 2026-11-08 --by day,bracket --measures events,amount",
        "tillroll report day-merchant --by merchant --order -events --limit 10 --format csv > top.csv",
        "tillroll report hour-bracket-method --zone Europe/Stockholm --by weekday,bracket --bracket '>500'",
    ),
    "reports": ("tillroll reports", "tillroll reports apply reports.toml"),
    "reports plan": ("tillroll reports plan reports.toml",),
    "reports preview": ("tillroll reports preview reports.toml --events 1000",),
    "reports apply": ("tillroll reports apply reports.toml --rate 50000",),
    "reports show": ("tillroll reports show turnover-day",),
    "reports drop": ("tillroll reports drop turnover-day",),
    "events": (
        "tillroll events october.ndjson.zst --from 2026-10-01 --to 2026-11-01",
        "tillroll events - --after 3 --format csv > more.csv",
    ),
    "fields": ("tillroll fields --keep country",),
    "top": ("tillroll top --interval 0.5 --count 2",),
    "rejected": ("tillroll rejected summary", "tillroll rejected list --code unknown_method"),
    "rejected list": ("tillroll rejected list --code unknown_method --limit 20",),
    "rejected summary": ("tillroll rejected summary",),
    "rejected show": ("tillroll rejected show ID > event.json",),
    "rejected retry": (
        "tillroll rejected retry ID --body event.json",
        "tillroll rejected retry --source purchases.ndjson",
    ),
    "rejected drop": ("tillroll rejected drop ID", "tillroll rejected drop --code unknown_method --yes"),
    "audit": ("tillroll audit", "tillroll audit --since 2026-11-01 --repair"),
    "rebuild": ("tillroll rebuild",),
    "backup": ("tillroll backup shop.backup",),
    "restore": ("tillroll restore shop.backup --data ./restored",),
    "restored": ("tillroll restored --data ./restored",),
    "explain": ("tillroll explain '2026-11-03:10|10-50' --limit 5",),
    "generate": (
        "tillroll generate purchases.ndjson --events 10000 --days 30 --duplicates 0.01 --summary expected.json",
        "tillroll generate http://127.0.0.1:8080 --events 100000 --rate 500 --batch 10",
    ),
    "work": ("tillroll work --queue https://sqs.eu-north-1.amazonaws.com/123456789012/purchases --until-empty",),
    "aws": ("tillroll aws cost", "tillroll aws deploy --region eu-north-1", "tillroll aws status"),
    "aws deploy": (
        "tillroll aws deploy --region eu-north-1 --parameter FreshnessSeconds=30 --tag team=checkout",
        "tillroll aws deploy --no-execute",
    ),
    "aws rollback": ("tillroll aws rollback", "tillroll aws rollback --undo"),
    "aws status": ("tillroll aws status --stack tillroll --json",),
    "aws cost": ("tillroll aws cost --rate 500 --merchants 20000 --freshness-s 30",),
    "aws folders": ("tillroll aws folders", "tillroll aws folders 4"),
    "aws redrive": ("tillroll aws redrive --dry-run", "tillroll aws redrive --only ID --body event.json"),
    "aws shell": ("tillroll aws shell --profile shop --region eu-north-1",),
    "config": ("tillroll config --config shop.toml",),
    "token": ("tillroll token", "tillroll token --hash < token.txt"),
    "version": ("tillroll version",),
}


def epilog(*words: str) -> str:
    """Return how the help of a command ends."""
    lines = EXAMPLES.get(" ".join(words), ())  # each command has some, or a test fails; the command itself does not
    if not lines:
        return ""
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join(("\b", title, *(f"  {line}" for line in lines)))  # \b: lines stay as they are
