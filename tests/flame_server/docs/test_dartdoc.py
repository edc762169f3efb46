from flame_server.docs.dartdoc import doc_of

SOURCE = """import 'x';

/// Not this one.
class Other {}

/// The **Box** holds a [Lid], see [open].
///
/// ```dart
/// Box([lid]);
/// ```
@immutable
class Box<T> extends Base {
  /// Makes a box.
  Box(
    this.lid, {
    this.size = const Size(1, 2),
  }) : super('}');

  /// The lid.
  final Lid? lid;

  final int undocumented = 1;

  /// Private.
  int _hidden = 0;

  /// Opens it {@macro x}.
  @override
  Future<void> open(int angle) async {
    /// not a member
    final inner = 1;
  }
}

/// After.
class Late {}
"""


def test_class_and_members_with_their_comments() -> None:
    assert doc_of(SOURCE, "Box") == (
        "The **Box** holds a `Lid`, see `open`.\n\n```dart\nBox([lid]);\n```\n\n"
        "`Box( this.lid, { this.size = const Size(1, 2), })`\n\nMakes a box.\n\n"
        "`final Lid? lid`\n\nThe lid.\n\n"
        "`Future<void> open(int angle)`\n\nOpens it ."
    )


def test_a_symbol_is_matched_whole() -> None:
    assert doc_of(SOURCE, "Bo") is None
    assert doc_of(SOURCE, "Late") == "After."
