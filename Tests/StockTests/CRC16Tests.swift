import Stock
import Testing

@Suite struct CRC16Tests {
  @Test(
    "CRC16 is that of Redis Cluster",
    arguments: [
      ("123456789", 0x31C3 as UInt16),
      ("", 0x0000),
      ("A", 0x58E5),
      ("foo", 0xAF96),
    ]
  )
  func matchesTheKnownVectors(text: String, expected: UInt16) {
    #expect(crc16(Array(text.utf8)) == expected)
  }

  @Test("CRC16 agrees with slots that CLUSTER KEYSLOT gives", arguments: [("foo", 12182), ("somekey", 11058)])
  func matchesKnownSlots(key: String, slot: Int) {
    #expect(Int(crc16(Array(key.utf8))) % 16384 == slot)
  }

  @Test("CRC16 reads every bit of every byte")
  func everyBitCounts() {
    let original: [UInt8] = [0x00, 0x7F, 0x80, 0xFF]
    let reference = crc16(original)
    for index in original.indices {
      for bit in 0..<8 {
        var changed = original
        changed[index] ^= 1 << UInt8(bit)
        #expect(crc16(changed) != reference, "byte \(index), bit \(bit)")
      }
    }
  }
}
