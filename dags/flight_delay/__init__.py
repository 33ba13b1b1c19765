"""What the flight delay DAGs share. Imported by them; Airflow itself does not look in here (.airflowignore)."""
