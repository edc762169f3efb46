"""Two pages of docs, and a report for builds of them."""

CAMERA = """# Camera

The camera follows the player.

## Viewport

Static components such as a HUD belong to the viewport.

```dart
# not a heading
camera.viewport.add(Hud());
```

## World

```{note}
The world holds everything that the camera sees.
```
"""
AUDIO = "# Audio\n\n## Caching\n\nLoad sound files early: the first play is delayed otherwise.\n"


def quiet(line: str) -> None:
    """A report that nobody reads."""
    del line
