/// The part of a cluster that a key belongs to: CRC16 of the key, or of its hash tag, modulo 16,384.
public struct HashSlot: Sendable, Hashable {
  public let number: Int

  public static let count = 16_384

  init(number: Int) { self.number = number }

  /// The slot of a whole key: where it holds `{…}` with something in between, that alone counts.
  public init(ofKey key: UnsafeRawBufferPointer) {
    if let open = key.firstIndex(of: UInt8(ascii: "{")),
      let close = key[(open + 1)...].firstIndex(of: UInt8(ascii: "}")), close > open + 1
    {
      self.init(ofTag: UnsafeRawBufferPointer(rebasing: key[(open + 1)..<close]))
    } else {
      self.init(ofTag: key)
    }
  }

  public init(ofKey key: [UInt8]) { self = key.withUnsafeBytes { HashSlot(ofKey: $0) } }

  /// The slot of a key whose hash tag these bytes are.
  public init(ofTag tag: UnsafeRawBufferPointer) {
    number = Int(Self.crc16(tag)) & (Self.count - 1)
  }

  /// CCITT/XMODEM: polynomial 0x1021, initial value 0.
  static func crc16(_ bytes: UnsafeRawBufferPointer) -> UInt16 {
    table.withUnsafeBufferPointer { table in
      bytes.reduce(UInt16(0)) { crc, byte in crc << 8 ^ table[Int(UInt8(crc >> 8) ^ byte)] }
    }
  }

  private static let table: [UInt16] = (0..<256).map { byte in
    (0..<8).reduce(UInt16(byte) << 8) { crc, _ in crc & 0x8000 == 0 ? crc << 1 : crc << 1 ^ 0x1021 }
  }
}
