"""The pages: all notes with a form for one more, and a form for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, url_for
from sqlalchemy import select

from flask_notes.models import Note, db

if TYPE_CHECKING:
    from werkzeug import Response

pages = Blueprint("notes", __name__)


@pages.get("/")
def index() -> str:
    notes = db.session.scalars(select(Note).order_by(Note.id)).all()
    return render_template("notes.html", notes=notes)


@pages.post("/")
def add() -> Response:
    db.session.add(Note(body=request.form["body"]))
    db.session.commit()
    return redirect(url_for(".index"))


@pages.post("/<int:note_id>")
def change(note_id: int) -> Response:
    note = db.get_or_404(Note, note_id)
    note.body = request.form["body"]
    db.session.commit()
    return redirect(url_for(".index"))
