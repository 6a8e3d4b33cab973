import os

from runtime import serve

if __name__ == "__main__":
    serve(os.getenv("MODEL_DIR", "/model"), os.getenv("APP_PORT", "9090"))
