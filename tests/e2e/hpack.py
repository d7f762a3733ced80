"""Header fields of HTTP/2 as those encode them who compress (RFC 7541)."""

STATIC = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"), (":scheme", "http"),
    (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""), ("accept-encoding", "gzip, deflate"),
    *((name, "") for name in (
        "accept-language accept-ranges accept access-control-allow-origin age allow authorization cache-control "
        "content-disposition content-encoding content-language content-length content-location content-range content-type "
        "cookie date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since "
        "last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after "
        "server set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate"
    ).split()),
]  # fmt: skip

# Appendix B: the octets by how many bits each has. Within a length codes follow the octets, and each length goes on where the
# one before it ended. The last of all is the end of a text, which none has in it.
LENGTHS = {
    5: b"012aceiost", 6: b" %-./3456789=A_bdfghlmnpru", 7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz", 8: b"&*,;XZ", 10: b'!"()?',
    11: b"'+|", 12: b"#>", 13: b"\0$@[]~", 14: b"^}", 15: b"<`{", 19: [92, 195, 208], 20: [128, 130, 131, 162, 184, 194, 224, 226],
    21: [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230],
    22: [129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233],
    23: [1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191,
         197, 231, 239],
    24: [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237], 25: [199, 207, 234, 235],
    26: [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255],
    27: [203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254],
    28: [*range(2, 9), 11, 12, *range(14, 22), *range(23, 32), 127, 220, 249], 30: [10, 13, 22],
}  # fmt: skip


def _codes():
    codes, code, before = {}, 0, 5
    for length, octets in LENGTHS.items():
        code <<= length - before
        for octet in octets:
            codes[length, code] = octet
            code += 1
        before = length
    return codes


CODES = _codes()


class Decoder:
    """What one side of a connection says, block after block."""

    def __init__(self, size=4096):
        self.size = size
        self.table = []

    def decode(self, block):
        """The fields of a block, in their order, as pairs of texts."""
        block, fields = bytearray(block), []
        while block:
            first = block[0]
            if first & 0x80:
                fields.append(self._at(integer(block, 7)))
            elif first & 0xE0 == 0x20:
                self.size = integer(block, 5)
                self._evict()
            else:
                is_kept = bool(first & 0x40)
                index = integer(block, 6 if is_kept else 4)
                name = self._at(index)[0] if index else text(block)
                fields.append((name, text(block)))
                if is_kept:
                    self.table.insert(0, fields[-1])
                    self._evict()
        return fields

    def _at(self, index):
        return STATIC[index - 1] if index <= len(STATIC) else self.table[index - 1 - len(STATIC)]

    def _evict(self):
        while sum(len(name) + len(value) + 32 for name, value in self.table) > self.size:
            self.table.pop()


def integer(block, bits):
    """Takes an integer with a prefix of so many bits off the block (section 5.1)."""
    most = (1 << bits) - 1
    value, shift = block.pop(0) & most, 0
    if value < most:
        return value
    while True:
        octet = block.pop(0)
        value += (octet & 127) << shift
        shift += 7
        if octet < 128:
            return value


def text(block):
    is_coded = bool(block[0] & 0x80)
    length = integer(block, 7)
    octets, block[:length] = bytes(block[:length]), b""
    return uncoded(octets) if is_coded else octets.decode("latin-1")


def uncoded(octets):
    out, code, length = bytearray(), 0, 0
    for octet in octets:
        for bit in range(7, -1, -1):
            code, length = code << 1 | octet >> bit & 1, length + 1
            if (length, code) in CODES:
                out.append(CODES[length, code])
                code, length = 0, 0
    # What is left is padding: fewer than eight bits, all of them set (section 5.2).
    assert length < 8 and code == (1 << length) - 1, f"no code behind {bytes(out)!r}"
    return out.decode("latin-1")
