"""One execution per task run: record, decision, start; nothing in here waits for its end."""
