"""Real PostgreSQL and MariaDB servers for tests: ``with Postgres() as db``, ``with MariaDb() as db``."""

from tools.databases.fetch import DatabaseError
from tools.databases.mariadb import MariaDb
from tools.databases.postgres import Postgres
from tools.databases.server import Server

__all__ = ["DatabaseError", "MariaDb", "Postgres", "Server"]
