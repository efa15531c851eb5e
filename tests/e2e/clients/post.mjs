// Posts a body three times to an address by Node's fetch, and prints each answer.
const [address, body] = process.argv.slice(2);
for (let time = 0; time < 3; time += 1) {
  const answer = await fetch(address, { method: "POST", body, headers: { "Content-Type": "application/json" } });
  console.log(answer.status, await answer.text());
}
