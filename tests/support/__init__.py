"""Code that several test folders share: servers, waiting, proxies, samples."""
