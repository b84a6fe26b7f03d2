import CStockABI

/// The purchases that were held where the log begins: their events are trimmed, but what their end needs (token, user,
/// deadline) must stay until that end is trimmed as well.
///
/// Slots of 16-byte steps in pieces of up to 64 KB; a slot that comes free serves the next of its size, and the memory goes
/// when none is in use. A slot is a word (the sequence under the size's class, 0 where free), then the record, or the
/// address of the next free slot.
struct HeldTokens: ~Copyable {
  /// Set, with `KeptTokens.addressFlag`, in the table's address of a held token.
  static let addressFlag = KeptTokens.addressFlag | 1 << 32
  private static let addressEnd: UInt64 = 1 << 32
  private static let unit = ChunkList.unit
  private static let step = 16
  private static let headerBytes = 16
  private static let firstBytes = 4096
  private static let pieceBytes = ChunkList.chunkBytes
  /// No slot is larger: a record's most bytes behind the word.
  private static let classCount = 21
  private static let classShift: UInt64 = 56

  private var pieces: UnsafeMutablePointer<UnsafeMutableRawPointer>?
  /// The first free slot of each class, 0 for none.
  private var free: UnsafeMutablePointer<UInt64>?
  private(set) var pieceTotal = 0
  private var room = 0
  private(set) var count: Int64 = 0
  /// Bytes allocated.
  private(set) var bytes = 0
  private let pieceMax: Int64

  /// As many pieces as addresses have numbers for, unless told.
  init(pieceMax: Int64 = Int64(HeldTokens.addressEnd / ChunkList.unitsPerChunk)) { self.pieceMax = pieceMax }

  deinit { releaseMemory() }

  @inline(__always)
  static func isHeld(_ address: UInt64) -> Bool { address & addressFlag == addressFlag }

  /// Whether so many more records can have addresses.
  func hasRoom(for more: Int64) -> Bool {
    // A piece of full size takes 195 of the largest, and more than 500 of the usual size.
    Int64(truncatingIfNeeded: pieceTotal) &+ more / 200 &+ 1 < pieceMax
  }

  /// Memory for a record of `size` bytes.
  mutating func append(size: Int, sequence: Int64) -> (address: UInt64, memory: UnsafeMutableRawPointer) {
    let sizeClass = (8 &+ size &+ wordSlack &+ Self.step &- 1) / Self.step
    let address = takeFree(sizeClass) ?? cut(sizeClass)
    let slot = memory(at: address)
    slot.store(word: UInt64(truncatingIfNeeded: sequence) | UInt64(truncatingIfNeeded: sizeClass) &<< Self.classShift)
    count &+= 1
    return (address | Self.addressFlag, slot + 8)
  }

  /// Gives a record's slot up.
  mutating func remove(at address: UInt64) {
    let place = address & (Self.addressEnd &- 1)
    let slot = memory(at: place)
    let word = UnsafeRawPointer(slot).word(at: 0)
    count &-= 1
    guard count > 0, let free else { return releaseAll() }
    let sizeClass = Int(truncatingIfNeeded: word &>> Self.classShift)
    slot.store(word: word & ~0 &<< Self.classShift)
    (slot + 8).store(word: free[sizeClass])
    free[sizeClass] = place
  }

  func record(at address: UInt64) -> Record { Record(at: memory(at: address & (Self.addressEnd &- 1)) + 8) }

  func sequence(at address: UInt64) -> Int64 {
    let word = UnsafeRawPointer(memory(at: address & (Self.addressEnd &- 1))).word(at: 0)
    return Int64(truncatingIfNeeded: word & (1 &<< Self.classShift &- 1))
  }

  /// The address of the next record from a position on, which moves behind it; nil behind the last. The first is at 0.
  func next(_ position: inout UInt64) -> UInt64? {
    while true {
      var piece = Int(truncatingIfNeeded: position / ChunkList.unitsPerChunk)
      var offset = Int(truncatingIfNeeded: position & (ChunkList.unitsPerChunk &- 1)) &* Self.unit
      if offset == 0 { offset = Self.headerBytes }
      guard piece < pieceTotal else { return nil }
      if offset >= used(piece) {
        piece &+= 1
        position = UInt64(truncatingIfNeeded: piece) &* ChunkList.unitsPerChunk
        continue
      }
      let address = self.address(piece, offset)
      let word = UnsafeRawPointer(memory(at: address)).word(at: 0)
      let steps = Int(truncatingIfNeeded: word &>> Self.classShift)
      // A slot that ends with its piece leads to the next one's start.
      position = address &+ UInt64(truncatingIfNeeded: steps &* Self.step / Self.unit)
      if word & (1 &<< Self.classShift &- 1) != 0 { return address | Self.addressFlag }
    }
  }

  private func address(_ piece: Int, _ offset: Int) -> UInt64 {
    UInt64(truncatingIfNeeded: piece) &* ChunkList.unitsPerChunk
      | UInt64(truncatingIfNeeded: offset / Self.unit)
  }

  private func memory(at place: UInt64) -> UnsafeMutableRawPointer {
    // What gave an address has the piece.
    pieces.unsafelyUnwrapped[Int(truncatingIfNeeded: place / ChunkList.unitsPerChunk)]
      + Int(truncatingIfNeeded: place & (ChunkList.unitsPerChunk &- 1)) &* Self.unit
  }

  private func used(_ piece: Int) -> Int {
    pieces.unsafelyUnwrapped[piece].load(as: Int.self)
  }

  private mutating func takeFree(_ sizeClass: Int) -> UInt64? {
    guard let free, free[sizeClass] != 0 else { return nil }
    let place = free[sizeClass]
    free[sizeClass] = UnsafeRawPointer(memory(at: place) + 8).word(at: 0)
    return place
  }

  private mutating func cut(_ sizeClass: Int) -> UInt64 {
    let size = sizeClass &* Self.step
    let capacity = pieceTotal == 1 ? Self.firstBytes : Self.pieceBytes
    if pieceTotal == 0 || used(pieceTotal &- 1) &+ size > capacity { addPiece() }
    let piece = pieceTotal &- 1
    let offset = used(piece)
    pieces.unsafelyUnwrapped[piece].storeBytes(of: offset &+ size, as: Int.self)
    return address(piece, offset)
  }

  private mutating func addPiece() {
    if pieceTotal == room { makeRoom() }
    let piece = allocate(pieceTotal == 0 ? Self.firstBytes : Self.pieceBytes)
    piece.storeBytes(of: Self.headerBytes, as: Int.self)
    if let pieces { (pieces + pieceTotal).initialize(to: piece) }
    pieceTotal &+= 1
  }

  private mutating func makeRoom() {
    let larger = room == 0 ? 4 : room &* 2
    let width = MemoryLayout<UnsafeMutableRawPointer>.stride
    let memory = allocate(larger &* width).bindMemory(to: UnsafeMutableRawPointer.self, capacity: larger)
    if let pieces {
      stock_copy(memory, pieces, pieceTotal &* width)
      stock_release(pieces)
      bytes &-= room &* width
    }
    if free == nil {
      let heads = allocate((Self.classCount &+ 1) &* 8)
      stock_clear(heads, (Self.classCount &+ 1) &* 8)
      free = heads.bindMemory(to: UInt64.self, capacity: Self.classCount &+ 1)
    }
    pieces = memory
    room = larger
  }

  private mutating func allocate(_ size: Int) -> UnsafeMutableRawPointer {
    bytes &+= size
    return stock_allocate(size)
  }

  private mutating func releaseAll() {
    releaseMemory()
    pieces = nil
    free = nil
    pieceTotal = 0
    room = 0
    bytes = 0
  }

  private func releaseMemory() {
    guard let pieces else { return }
    var index = 0
    while index < pieceTotal {
      stock_release(pieces[index])
      index &+= 1
    }
    stock_release(pieces)
    if let free { stock_release(free) }
  }
}
