"""A server in eight lines. Run it: uvicorn --app-dir examples server:app"""

from fastapi import FastAPI

from objectstreaming import JsonCoder
from objectstreaming.server import FrameResponse

app = FastAPI()


@app.post("/ask")
async def ask(question: str) -> FrameResponse:
    answers = (({"status": "success"}, {"answer": word}) for word in question.split())
    return FrameResponse(answers, coder=JsonCoder())
