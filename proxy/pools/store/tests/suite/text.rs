//! Text is compared bytewise, whatever the database's own collation is.

use anyhow::Result;
use store::args;

use crate::place::{Place, add, on_both};

on_both!(
    order_is_bytewise,
    comparison_is_bytewise,
    prefixes_are_ranges,
    any_text_comes_back
);

const NAMES: [&str; 12] = [
    "a",
    "B",
    "A",
    "b",
    "aa",
    "aB",
    "_",
    "Z",
    "ä",
    "é",
    "a b",
    "\u{1F600}",
];

async fn order_is_bytewise(place: Place) -> Result<()> {
    let db = place.open().await?;
    for name in NAMES {
        add(&db, name).await?;
        let note = "UPDATE people SET note = name WHERE name = $1";
        db.write(move |tx| Box::pin(tx.execute(note, args![name])))
            .await?;
    }
    let mut expected = NAMES;
    expected.sort_unstable();
    // The second column came with ALTER TABLE.
    for sql in [
        "SELECT name FROM people ORDER BY name",
        "SELECT name FROM people ORDER BY note",
    ] {
        let rows = db.rows(sql, args![]).await?;
        let names = rows
            .iter()
            .map(|row| row.text("name"))
            .collect::<store::Result<Vec<_>>>()?;
        assert_eq!(names, expected);
    }
    Ok(())
}

async fn comparison_is_bytewise(place: Place) -> Result<()> {
    let db = place.open().await?;
    add(&db, "B").await?;
    assert!(
        db.row("SELECT name FROM people WHERE name < $1", args!["a"])
            .await?
            .is_some()
    );
    assert!(
        db.row("SELECT name FROM people WHERE name = $1", args!["b"])
            .await?
            .is_none()
    );
    Ok(())
}

async fn prefixes_are_ranges(place: Place) -> Result<()> {
    let db = place.open().await?;
    for name in ["ab", "aba", "ab\u{10FFFF}", "ac", "a", "AB", "a_"] {
        add(&db, name).await?;
    }
    let sql = "SELECT name FROM people WHERE name >= $1 AND name < $2 ORDER BY name";
    let rows = db.rows(sql, args!["ab", "ac"]).await?;
    let names = rows
        .iter()
        .map(|row| row.text("name"))
        .collect::<store::Result<Vec<_>>>()?;
    assert_eq!(names, ["ab", "aba", "ab\u{10FFFF}"]);
    Ok(())
}

async fn any_text_comes_back(place: Place) -> Result<()> {
    let db = place.open().await?;
    let texts = [
        "",
        " ",
        "'; DROP TABLE people; --",
        "\\",
        "%_",
        "\r\n\t",
        "e\u{301}",
        "\u{FEFF}x",
    ];
    for text in texts {
        add(&db, text).await?;
    }
    for text in texts {
        let row = db
            .row("SELECT name FROM people WHERE name = $1", args![text])
            .await?;
        assert_eq!(
            row.map(|row| row.text("name")).transpose()?.as_deref(),
            Some(text)
        );
    }
    Ok(())
}
