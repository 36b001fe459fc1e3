"""The service. ``DATABASE_URL`` says where its database is, ``SECRET_KEY`` signs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from fastapi_orders import orders, products
from fastapi_orders.models import Base
from globaldb.asgi import CausalityMiddleware


def create_app(url: str | None = None) -> FastAPI:
    """Return the service, with an engine of its own."""
    engine = create_engine(url or os.environ["DATABASE_URL"])

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.sessions = sessionmaker(engine)
        await run_in_threadpool(Base.metadata.create_all, engine)
        yield
        engine.dispose()

    app = FastAPI(title="Orders", lifespan=lifespan)
    # Who has written reads it with the next request, whichever process answers that.
    secret = os.environ.get("SECRET_KEY", "only for development")
    app.add_middleware(CausalityMiddleware, secret=secret)
    app.include_router(orders.router)
    app.include_router(products.router)
    return app
