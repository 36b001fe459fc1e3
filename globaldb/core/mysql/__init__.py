"""What MySQL and MariaDB statements mean to a session."""
