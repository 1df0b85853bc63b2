"""Create a user and show their token, once: ``python scripts/create_user.py acme ana manager``."""

import argparse
import secrets

from app.config.database import SessionLocal
from app.dependencies import hash_token
from app.models.erp import User

parser = argparse.ArgumentParser(description="Create a user and show their token, once.")
parser.add_argument("tenant", help="tenant: acme")
parser.add_argument("name", help="who: ana")
parser.add_argument("role", choices=["staff", "manager", "operator"])
given = parser.parse_args()

token = secrets.token_urlsafe(32)
with SessionLocal() as session:
    session.add(User(tenant_id=given.tenant, name=given.name, role=given.role, token_hash=hash_token(token)))
    session.commit()
print(token)
