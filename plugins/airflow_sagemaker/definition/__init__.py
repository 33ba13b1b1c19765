"""From a configuration to a definition, compiled in a child process and cached; calls AWS only for the cache."""
