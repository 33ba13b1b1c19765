"""One execution per task run: the record, the decision, the start; nothing here waits for an end."""
