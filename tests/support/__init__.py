"""What several folders of tests share: servers, waiting, proxies, samples. No tests; nothing for one folder alone."""
