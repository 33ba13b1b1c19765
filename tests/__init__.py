"""A package, so that no installed one called `tests` takes its place: benchmarks use `tests.support`, too."""
