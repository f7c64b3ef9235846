"""The stack that a user would build from the documents: FastAPI, python-socketio, uvicorn with uvloop, and a database.

As small as it can be and as fair: one process, prepared statements, a pool, the same durability, the same rows for a
change (the visit, a line of the audit log), tokens of the same kind. Nothing here checks who may do what.
"""

import json
import os
import secrets
import time
import uuid

import jwt
import socketio
from fastapi import FastAPI, Header, HTTPException

SECRET = secrets.token_hex(32)
DATABASE = os.environ["PEER_DATABASE"]
SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, patient_id TEXT NOT NULL, doctor_id TEXT NOT NULL, mode TEXT NOT NULL,
    status TEXT NOT NULL, start BIGINT NOT NULL, minutes BIGINT NOT NULL, seq BIGINT NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS sessions_of_doctor ON sessions (doctor_id, start);
CREATE TABLE IF NOT EXISTS audit (at BIGINT NOT NULL, user_id TEXT NOT NULL, action TEXT NOT NULL, session_id TEXT);
CREATE TABLE IF NOT EXISTS tokens (hash TEXT PRIMARY KEY, session_id TEXT NOT NULL, user_id TEXT NOT NULL, ends BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
    session_id TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT NOT NULL, client_id TEXT NOT NULL UNIQUE,
    sender TEXT NOT NULL, content TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (session_id, seq));
"""


def numbered(text):
    """SQLite takes `$1` for a name and binds by appearance; `?1` is a number."""
    return text.replace("$", "?")


class Sqlite:
    """One connection that writes, as SQLite has one writer."""

    async def open(self):
        import aiosqlite

        self.db = await aiosqlite.connect(DATABASE, isolation_level=None)
        await self.db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + SCHEMA)
        import asyncio

        self.lock = asyncio.Lock()

    async def write(self, statements):
        async with self.lock:
            await self.db.execute("BEGIN IMMEDIATE")
            rows = []
            for text, values in statements:
                cursor = await self.db.execute(numbered(text), values)
                rows = await cursor.fetchall()
            await self.db.execute("COMMIT")
            return rows

    async def read(self, text, values):
        cursor = await self.db.execute(numbered(text), values)
        return await cursor.fetchall()


class Postgres:
    async def open(self):
        import asyncpg

        self.pool = await asyncpg.create_pool(DATABASE, min_size=8, max_size=20)
        async with self.pool.acquire() as connection:
            await connection.execute(SCHEMA)

    async def write(self, statements):
        async with self.pool.acquire() as connection, connection.transaction():
            rows = []
            for text, values in statements:
                rows = await connection.fetch(text, *values)
            return [tuple(row) for row in rows]

    async def read(self, text, values):
        async with self.pool.acquire() as connection:
            return [tuple(row) for row in await connection.fetch(text, *values)]


db = Postgres() if DATABASE.startswith("postgres") else Sqlite()
api = FastAPI(docs_url=None, openapi_url=None)
sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins=[])
app = socketio.ASGIApp(sio, api, on_startup=db.open)


def now():
    return int(time.time() * 1000)


def whose(authorization):
    try:
        return jwt.decode(authorization.removeprefix("Bearer "), SECRET, algorithms=["HS256"])
    except jwt.PyJWTError as error:
        raise HTTPException(401) from error


def audit(user, action, session=None):
    return ("INSERT INTO audit VALUES ($1, $2, $3, $4)", (now(), user, action, session))


@api.post("/login")
async def login(body: dict) -> dict:
    claims = {"sub": body["user"], "role": body["role"], "exp": int(time.time()) + 86_400}
    return {"accessToken": jwt.encode(claims, SECRET, algorithm="HS256")}


@api.get("/health")
async def health() -> dict:
    return {}


@api.post("/sessions", status_code=201)
async def create(body: dict, authorization: str = Header()) -> dict:
    claims = whose(authorization)
    session = str(uuid.uuid4())
    row = (session, body["patientId"], claims["sub"], body["consultationMode"], "SCHEDULED", now(), body["scheduledDurationMinutes"])
    await db.write([
        ("INSERT INTO sessions (id, patient_id, doctor_id, mode, status, start, minutes) VALUES ($1, $2, $3, $4, $5, $6, $7)", row),
        audit(claims["sub"], "session.created", session),
    ])
    names = ("sessionId", "patientId", "doctorId", "consultationMode", "status", "start", "minutes")
    return dict(zip(names, row))


@api.post("/sessions/{session}/join")
async def join(session: str, authorization: str = Header()) -> dict:
    claims = whose(authorization)
    found = await db.read("SELECT id, patient_id, doctor_id, status FROM sessions WHERE id = $1", (session,))
    if not found:
        raise HTTPException(404)
    token = secrets.token_urlsafe(32)
    await db.write([
        ("INSERT INTO tokens VALUES ($1, $2, $3, $4)", (token, session, claims["sub"], now() + 3_600_000)),
        ("UPDATE sessions SET status = 'IN_PROGRESS' WHERE id = $1", (session,)),
        audit(claims["sub"], "session.joined", session),
    ])
    await sio.emit("session", {"sessionId": session, "status": "IN_PROGRESS"}, room=session)
    return {"admitted": True, "accessToken": token, "session": {"sessionId": session}}


@api.get("/sessions")
async def sessions(authorization: str = Header()) -> list[dict]:
    claims = whose(authorization)
    rows = await db.read(
        "SELECT id, patient_id, mode, status, start, minutes FROM sessions WHERE doctor_id = $1 AND start >= $2 "
        "ORDER BY start, id LIMIT 50", (claims["sub"], now() - 43_200_000))
    await db.write([audit(claims["sub"], "sessions.listed")])
    return [dict(zip(("sessionId", "patientId", "mode", "status", "start", "minutes"), row)) for row in rows]


@api.get("/sessions/{session}/chat")
async def chat(session: str, authorization: str = Header()) -> dict:
    claims = whose(authorization)
    rows = await db.read(
        "SELECT seq, id, client_id, sender, content, at FROM messages WHERE session_id = $1 ORDER BY seq DESC LIMIT 50",
        (session,))
    await db.write([audit(claims["sub"], "chat.read", session)])
    return {"items": [dict(zip(("seq", "messageId", "clientMessageId", "senderId", "content", "at"), row)) for row in rows]}


@sio.event
async def connect(sid, environ, auth):
    claims = jwt.decode(auth["token"], SECRET, algorithms=["HS256"])
    await sio.save_session(sid, {"user": claims["sub"]})


@sio.event
async def enter(sid, session):
    await sio.enter_room(sid, session)
    return True


@sio.event
async def say(sid, message):
    user = (await sio.get_session(sid))["user"]
    session, content, client = message["sessionId"], message["content"], message["clientMessageId"]
    rows = await db.write([
        ("UPDATE sessions SET seq = seq + 1 WHERE id = $1", (session,)),
        ("INSERT INTO messages SELECT id, seq, $2, $3, $4, $5, $6 FROM sessions WHERE id = $1 RETURNING seq",
         (session, str(uuid.uuid4()), client, user, content, now())),
    ])
    await sio.emit("message", json.dumps({"seq": rows[0][0], "clientMessageId": client, "content": content}), room=session)
