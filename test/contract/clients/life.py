"""The life of an item through onepasswordconnectsdk, unmodified. Prints what it saw as JSON."""
import json
import os

from onepasswordconnectsdk import load_dict, new_client
from onepasswordconnectsdk.models import (
    Field, FieldSection, GeneratorRecipe, Item, ItemUrls, ItemVault, Section,
)

client = new_client(os.environ["OP_CONNECT_HOST"], os.environ["OP_CONNECT_TOKEN"])
title = "life of Python"
vaults = client.get_vaults()
vault = client.get_vault_by_title(os.environ["VAULT_NAME"])
same = client.get_vault(vault.id)
draft = Item(
    title=title,
    category="LOGIN",
    vault=ItemVault(id=vault.id),
    tags=["py"],
    urls=[ItemUrls(primary=True, href="https://example.com")],
    sections=[Section(id="s1", label="More")],
    fields=[
        Field(id="username", label="username", purpose="USERNAME", value="wendy"),
        Field(
            id="password", label="password", purpose="PASSWORD", type="CONCEALED", generate=True,
            recipe=GeneratorRecipe(length=24, character_sets=["LETTERS", "DIGITS"]),
        ),
        Field(id="x1", label="extra", type="STRING", value="x", section=FieldSection(id="s1")),
    ],
)
created = client.create_item(vault.id, draft)
by_title = client.get_item(title, vault.name)
listed = client.get_items(vault.id)
filtered = client.get_items(vault.id, 'title eq "%s"' % title)
os.environ["OP_VAULT"] = vault.id
loaded = load_dict(client, {"user": {"opitem": title, "opfield": ".username"}})
by_title.title = title + " 2"
updated = client.update_item(created.id, vault.id, by_title)
read = client.get_item(created.id, vault.id)
files = client.get_files(os.environ["FILE_ITEM"], vault.id)
content = client.get_file_content(
    files[0].id, os.environ["FILE_ITEM"], vault.id, files[0].content_path)
client.delete_item(created.id, vault.id)
try:
    client.get_item(created.id, vault.id)
    gone = None
except Exception as error:  # noqa: BLE001 - whatever it raises is the observation
    gone = type(error).__name__
left = client.get_items(vault.id)

print(json.dumps({
    "vaults": len(vaults),
    "vault": same.name,
    "created": client.sanitize_for_serialization(created),
    "byTitle": by_title.id,
    "filtered": [item.id for item in filtered],
    "listed": [item.id for item in listed],
    "loaded": loaded,
    "updatedVersion": updated.version,
    "read": client.sanitize_for_serialization(read),
    "file": {"name": files[0].name, "size": files[0].size, "content": content.decode()},
    "gone": gone,
    "left": [item.id for item in left],
}))
