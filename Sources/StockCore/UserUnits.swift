import CStockABI

/// The units that each user holds or has bought, kept only in a bucket that has or had a limit.
struct UserUnits: ~Copyable {
  private var table = SlotTable()
  private var entries = ChunkList()

  /// Bytes allocated.
  var bytes: Int { table.bytes &+ entries.bytes }
  var pieces: Int { table.pieces &+ entries.count }

  func units(of user: Bytes, _ hash: UInt64) -> Int64 {
    let place = find(user, hash)
    return place.address == 0 ? 0 : entries.memory(at: place.address).loadUnaligned(as: Int64.self)
  }

  /// Makes room for the user; false where there is none.
  mutating func reserve(_ user: Bytes, _ hash: UInt64) -> Bool {
    var place = find(user, hash)
    if place.address != 0 { return true }
    guard entries.hasRoom, table.reserve(hash, &place) else { return false }
    let entry = entries.append(size: 9 &+ user.count, label: 0)
    entry.memory.storeBytes(of: 0, as: Int64.self)
    entry.memory.storeBytes(of: UInt8(truncatingIfNeeded: user.count), toByteOffset: 8, as: UInt8.self)
    (entry.memory + 9).store(bytes: user)
    table.insert(hash, entry.address, at: place)
    entries.makeRoom()
    return true
  }

  /// Changes the units of a user for whom room was made.
  mutating func change(_ user: Bytes, _ hash: UInt64, by units: Int64) {
    let place = find(user, hash)
    guard place.address != 0 else { return }
    let entry = entries.memory(at: place.address)
    entry.storeBytes(of: entry.loadUnaligned(as: Int64.self) &+ units, as: Int64.self)
  }

  private func find(_ user: Bytes, _ hash: UInt64) -> SlotTable.Place {
    table.find(hash) { address in
      let entry = UnsafeRawPointer(entries.memory(at: address))
      let count = Int(entry.load(fromByteOffset: 8, as: UInt8.self))
      return Bytes(start: entry + 9, count: count).equals(user)
    }
  }
}
