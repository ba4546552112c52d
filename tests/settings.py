"""/etc/nix-aurora.conf as people write it: valid spellings, and mistakes."""

# These texts are valid; each has the layout that the boot chooses.
UNDERSTOOD = {
    "nothing": (b"", "auto"),
    "a comment": (b"#STORE_LAYOUT=namespace\n  # STORE_LAYOUT=namespace\n", "auto"),
    "plain": (b"STORE_LAYOUT=namespace\n", "namespace"),
    "no last newline": (b"STORE_LAYOUT=namespace", "namespace"),
    "spaces around the sign": (b"STORE_LAYOUT = namespace\n", "namespace"),
    "TABs and spaces around the line": (b"\t STORE_LAYOUT=\tnamespace \t\n", "namespace"),
    "double quotes": (b'STORE_LAYOUT="namespace"\n', "namespace"),
    "single quotes": (b"STORE_LAYOUT='namespace' # why\n", "namespace"),
    "CRLF": (b"# of Windows\r\nSTORE_LAYOUT=namespace\r\n", "namespace"),
    "a byte order mark": (b"\xef\xbb\xbfSTORE_LAYOUT=namespace\n", "namespace"),
    "export": (b"export STORE_LAYOUT=namespace\n", "namespace"),
    "a comment behind it": (b"STORE_LAYOUT=namespace # for now\n", "namespace"),
    "the last one counts": (b"STORE_LAYOUT=relocated\nSTORE_LAYOUT=namespace\n", "namespace"),
}
# These texts are valid; each has the number of days that generations stay.
DAYS = {
    "nothing": (b"", 30),
    "a comment": (b"#GC_KEEP_DAYS=90\n", 30),
    "plain": (b"GC_KEEP_DAYS=90\n", 90),
    "beside a layout": (b"STORE_LAYOUT=namespace\nGC_KEEP_DAYS = '7' # a week\r\n", 7),
    "the last one counts": (b"GC_KEEP_DAYS=7\nGC_KEEP_DAYS=9999\n", 9999),
}
# These texts have mistakes: each is an error on the line with the number, and nothing in it runs.
FAULTY = {
    "an open double quote": (b'STORE_LAYOUT="namespace\n', 1),
    "an open single quote": (b"# one\nSTORE_LAYOUT='namespace\n", 2),
    "a quote that only closes": (b'STORE_LAYOUT=namespace"\n', 1),
    "a command": (b"exit 0\n", 1),
    "a command that writes": (b"touch ran\n", 1),
    "a value that is a command": (b"STORE_LAYOUT=$(touch ran)\n", 1),
    "a value with backticks": (b"STORE_LAYOUT=`touch${IFS}ran`\n", 1),
    "an index that is a command": (b"STORE_LAYOUT[$(touch ran)]=mount\n", 1),
    "a command behind it": (b"STORE_LAYOUT=namespace; touch ran\n", 1),
    "two words": (b"STORE_LAYOUT=name space\n", 1),
    "a spelling error": (b"STORE_LAYOUT=namspace\n", 1),
    "capitals": (b"STORE_LAYOUT=Namespace\n", 1),
    "no value": (b"STORE_LAYOUT=\n", 1),
    "another key": (b"STORE_LAYUOT=namespace\n", 1),
    "a key in small letters": (b"store_layout=namespace\n", 1),
    "a colon": (b"STORE_LAYOUT: namespace\n", 1),
    "a section": (b"[nix-aurora]\n", 1),
    "PATH": (b"PATH=ran\n", 1),
    "a readonly variable": (b"readonly STORE_LAYOUT=namespace\n", 1),
    "control characters": (b"\x1b]0;title\x07=x\n", 1),
    "days that are no number": (b"GC_KEEP_DAYS=9O\n", 1),
    "days with a unit": (b"# one\nGC_KEEP_DAYS=30d\n", 2),
    "no days": (b"GC_KEEP_DAYS=0\n", 1),
    "days before today": (b"GC_KEEP_DAYS=-1\n", 1),
    "more days than a number has": (b"GC_KEEP_DAYS=99999999999999999999\n", 1),
    "days that are a command": (b"GC_KEEP_DAYS=$(touch ran)\n", 1),
    "UTF-16": ("\ufeffSTORE_LAYOUT=namespace\n".encode("utf-16-le"), 1),
    "bytes that are no text": (b"\x80\xff=\xfe\n", 1),
}
