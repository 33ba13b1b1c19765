"""The example's flights: columns, features, raw tables, source and limits. `table.FLIGHTS` is their TableSpec."""
