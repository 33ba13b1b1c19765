"""The three tables: read from parquet, encoded once, served as batches of rows."""
