"""How an algorithm gets onto a station: admitted, unpacked, built, probed, complete; then active or not."""
