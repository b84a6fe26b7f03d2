import CStockABI

/// The units that each user holds or has bought, kept only in a bucket that has or had a limit.
///
/// A user is known by the keyed hash of 64 bits that a purchase without its event still has.
struct UserUnits: ~Copyable {
  private static let entryBytes = 16

  private var table = SlotTable()
  private var entries = ChunkList()

  /// Bytes allocated.
  var bytes: Int { table.bytes &+ entries.bytes }
  var pieces: Int { table.pieces &+ entries.count }

  func units(of user: UInt64) -> Int64 {
    let place = find(user)
    return place.address == 0 ? 0 : entries.memory(at: place.address).load(fromByteOffset: 8, as: Int64.self)
  }

  /// Adds units, which may be negative, to those of a user; false, and nothing is added, where there is no room.
  mutating func add(_ units: Int64, to user: UInt64) -> Bool {
    var place = find(user)
    if place.address != 0 {
      let entry = entries.memory(at: place.address)
      entry.storeBytes(of: entry.load(fromByteOffset: 8, as: Int64.self) &+ units, toByteOffset: 8, as: Int64.self)
      return true
    }
    guard entries.hasRoom, table.reserve(user, &place) else { return false }
    let entry = entries.append(size: Self.entryBytes, label: 0)
    entry.memory.storeBytes(of: user, as: UInt64.self)
    entry.memory.storeBytes(of: units, toByteOffset: 8, as: Int64.self)
    table.insert(user, entry.address, at: place)
    entries.makeRoom()
    return true
  }

  private func find(_ user: UInt64) -> SlotTable.Place {
    table.find(user) { entries.memory(at: $0).load(as: UInt64.self) == user }
  }
}
