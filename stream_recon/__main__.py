"""``python -m stream_recon`` is the console command."""

from stream_recon.cli.main import app

if __name__ == "__main__":
    app()
