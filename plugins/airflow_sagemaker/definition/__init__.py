"""From a configuration to a definition, compiled in a child process and cached; no AWS call but those of the cache."""
