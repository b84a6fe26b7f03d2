import CStockABI

/// The units that each user holds or has bought, kept only in a bucket that has or had a limit.
struct UserUnits: ~Copyable {
  private var table = SlotTable()
  private var entries = ChunkList()

  /// Bytes allocated.
  var bytes: Int { table.bytes &+ entries.bytes }
  var pieces: Int { table.pieces &+ entries.count }

  func units(of user: Bytes, _ hash: UInt64) -> Int64 {
    find(user, hash)?.loadUnaligned(as: Int64.self) ?? 0
  }

  /// Makes room for the user; false where there is none.
  mutating func reserve(_ user: Bytes, _ hash: UInt64) -> Bool {
    if find(user, hash) != nil { return true }
    guard entries.hasRoom, table.reserve(hash) else { return false }
    let entry = entries.append(size: 9 &+ user.count, label: 0)
    entry.memory.storeBytes(of: 0, as: Int64.self)
    entry.memory.storeBytes(of: UInt8(truncatingIfNeeded: user.count), toByteOffset: 8, as: UInt8.self)
    (entry.memory + 9).store(bytes: user)
    table.insert(hash, entry.address)
    entries.makeRoom()
    return true
  }

  /// Changes the units of a user for whom room was made.
  mutating func change(_ user: Bytes, _ hash: UInt64, by units: Int64) {
    guard let entry = find(user, hash) else { return }
    entry.storeBytes(of: entry.loadUnaligned(as: Int64.self) &+ units, as: Int64.self)
  }

  private func find(_ user: Bytes, _ hash: UInt64) -> UnsafeMutableRawPointer? {
    let address = table.find(hash) { address in
      let entry = UnsafeRawPointer(entries.memory(at: address))
      let count = Int(entry.load(fromByteOffset: 8, as: UInt8.self))
      return Bytes(start: entry + 9, count: count).equals(user)
    }
    return address.map { entries.memory(at: $0) }
  }
}
