"""A small folder of documents about things that no model knows, and what can be asked about it."""

from __future__ import annotations

from pathlib import Path

DOCUMENTS = {
    "visits.md": """# Visiting the Harbour Museum

## Opening hours

The museum is open from Tuesday to Sunday, from 9 in the morning to 5 in the afternoon. On Mondays it is closed.
In August it stays open until 8 in the evening.

## Tickets

A ticket for an adult costs 7 euros. Children under 12 enter for free. The family ticket costs 15 euros.

## Cloakroom

Bags that are larger than a sheet of paper must stay in the cloakroom in the basement. Its lockers take a coin of
one euro, which comes back.

## Getting here

Tram 4 stops in front of the door; the stop is called Old Crane. There is no car park at the museum.
""",
    "machines/pump.md": """# The bilge pump of 1912

## What it is

The bilge pump in hall 2 was built in 1912 by the Larsen works in Bergen. It weighs 340 kilograms and lifted 90
litres of water a minute.

## Care

The pump is oiled every Thursday with linseed oil. Its brass valve must never touch salt water. The key of its case is
kept in the red box behind the ticket desk.

## Faults

Error E42 on the display of the pump means that the float switch is stuck. Turn the pump off, lift the float by hand
and turn it on again. Error E17 means that the fuse is blown; fuses lie in drawer 6.
""",
    "ships/aurora.md": """# The lightship Aurora

## History

The lightship Aurora was launched in 1904 in Stavanger. She lay at the Grey Reef for 58 years, with a crew of 11 men.
Her last captain was Ingrid Halvorsen.

## The lantern

The lantern of the Aurora burned paraffin until 1931 and has been electric since. It was seen from 14 sea miles.

## On board

Visitors may go on board at 11 and at 3. Dogs are not allowed on the ship. The ladder has 23 steps, and there is no
lift; a film in hall 1 shows the ship to those who cannot climb.
""",
}
"""Texts by their paths."""
QUESTIONS = (
    ("On which day is the museum closed?", "monday"),
    ("How much is a ticket for an adult?", "7 euro"),
    ("What does the family ticket cost?", "15 euro"),
    ("Until when is the museum open in August?", "8"),
    ("Where do large bags have to stay?", "cloakroom"),
    ("Which tram stops at the museum?", "4"),
    ("What is the tram stop called?", "old crane"),
    ("In which year was the bilge pump built?", "1912"),
    ("Who built the bilge pump?", "larsen"),
    ("How much does the bilge pump weigh?", "340"),
    ("With which oil is the pump oiled?", "linseed"),
    ("What must the brass valve never touch?", "salt"),
    ("Where is the key of the pump's case kept?", "red box"),
    ("What does error E42 mean?", "float"),
    ("What does error E17 mean?", "fuse"),
    ("Where was the lightship Aurora launched?", "stavanger"),
    ("Who was the last captain of the Aurora?", "halvorsen"),
    ("How many men were the crew of the lightship?", "11"),
    ("From how far was the lantern seen?", "14"),
    ("Are dogs allowed on the ship?", "not"),
    ("How many steps has the ladder?", "23"),
)
"""Each with a word of its answer, in small letters."""
EASY = (
    ("Where was the lightship Aurora launched?", "stavanger"),
    ("Who built the bilge pump?", "larsen"),
    ("What is the tram stop called?", "old crane"),
    ("Where is the key of the pump's case kept?", "red box"),
    ("What does the family ticket cost?", "15"),
    ("How many men were the crew of the lightship?", "11"),
)
"""Those that a very small model has mostly right, whatever the boundary is, which each index has anew."""


def write(folder: Path) -> Path:
    """The documents as files."""
    for name, text in DOCUMENTS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
