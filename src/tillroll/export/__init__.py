"""The ways out for a warehouse: Parquet files, a directory that follows the journal, files that appear whole."""
