"""The pages in a real browser over a real Airflow. A package, so that its fixtures end with it."""
