"""Code that the flight delay DAGs share; .airflowignore hides it from Airflow."""
