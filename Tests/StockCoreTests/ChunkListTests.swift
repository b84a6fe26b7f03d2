import Testing

@testable import StockCore

@Suite("Chunks")
struct ChunkListTests {
  /// Appends and drops as a log that is trimmed does, and follows it record by record.
  private func walk(recordBytes: Int, records: Int, addressEnd: UInt64) -> Int {
    var list = ChunkList(addressEnd: addressEnd)
    var position = list.firstAddress
    var addresses: [UInt64] = []
    var trimmed = 0
    var wrong = 0
    for index in 0..<records {
      guard list.hasRoom else { return -1 }
      let entry = list.append(size: recordBytes, label: Int64(index))
      entry.memory.storeBytes(of: UInt64(index), as: UInt64.self)
      addresses.append(entry.address)
      list.makeRoom()
      // No more than two chunks and a half stay.
      while addresses.count - trimmed > 3500 {
        let address = list.settled(position)
        if address != addresses[trimmed] { wrong += 1 }
        if list.memory(at: address).loadUnaligned(as: UInt64.self) != UInt64(trimmed) { wrong += 1 }
        position = address &+ UInt64((recordBytes + 3) / 4)
        trimmed += 1
        if trimmed % 500 == 0 { list.drop(before: list.settled(position)) }
      }
    }
    #expect(list.count <= 4)
    return wrong
  }

  @Test("A log that is followed as it is trimmed is met record by record, its chunks' numbers come round or not")
  func following() {
    // With 28 bytes a record 2340 of them fill a chunk to the last byte, with 44 they don't.
    #expect(walk(recordBytes: 28, records: 30_000, addressEnd: 1 << 20) == 0)
    #expect(walk(recordBytes: 44, records: 30_000, addressEnd: 1 << 17) == 0)
    #expect(walk(recordBytes: 28, records: 30_000, addressEnd: 1 << 17) == 0)
  }

  @Test("Numbers of chunks come round again, so that a log that is trimmed never fills up")
  func ring() {
    var list = ChunkList()
    // Each round fills three chunks with four records and drops two of them: more rounds than there are numbers.
    var addresses: [(address: UInt64, value: UInt64)] = []
    var wrong = 0
    for round: UInt64 in 0..<280_000 {
      for _ in 0..<2 {
        while true {
          let before = list.count
          let entry = list.append(size: 65_000, label: Int64(round))
          entry.memory.storeBytes(of: round, as: UInt64.self)
          addresses.append((entry.address, round))
          if list.count != before { break }
        }
      }
      if addresses.count > 3 {
        list.drop(before: addresses[2].address)
        addresses.removeFirst(2)
      }
      for entry in addresses where list.memory(at: entry.address).load(as: UInt64.self) != entry.value { wrong += 1 }
      if !list.hasRoom { wrong += 1 }
    }
    #expect(wrong == 0 && list.count <= 4)
    #expect(addresses.allSatisfy { $0.address < ChunkList.addressEnd })
  }
}
