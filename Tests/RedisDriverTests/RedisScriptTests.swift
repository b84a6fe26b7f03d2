import Testing

@testable import RedisDriver

@Suite struct RedisScriptTests {
  // The first three are those of FIPS 180; the others, made by sha1sum, straddle the block's end.
  static let vectors: [(String, String)] = [
    ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
    ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
    (String(repeating: "x", count: 55), "cef734ba81a024479e09eb5a75b6ddae62e6abf1"),
    (String(repeating: "x", count: 56), "901305367c259952f4e7af8323f480d59f81335b"),
    (String(repeating: "x", count: 63), "0ddc4e0cccd9a12850deb5abb0853a4425559fec"),
    (String(repeating: "x", count: 64), "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163"),
    (String(repeating: "x", count: 65), "78c741ddc482e4cdf8c474a0876347a0905b6233"),
    (String(repeating: "x", count: 119), "4300320394f7ee239bcdce7d3b8bcee173a0cd5c"),
    (String(repeating: "x", count: 120), "ceb2821639c4b6dcb10bce0e522ca2e608ce056d"),
    (String(repeating: "x", count: 1000), "c3efa690fa3fdd2e2526853eed670538ea127638"),
  ]

  @Test("A script's hash is its SHA-1", arguments: vectors)
  func sha1(_ source: String, _ hash: String) { #expect(RedisScript(source).sha1 == hash) }
}
