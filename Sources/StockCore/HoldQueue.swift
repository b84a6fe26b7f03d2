import CStockABI

/// One hold that can expire: when, the sequence of its event (of equal deadlines the older comes first), and where its
/// record lies.
struct QueuedHold {
  var expires: Int64
  var sequence: Int64
  var address: UInt64

  func isBefore(_ other: QueuedHold) -> Bool {
    expires != other.expires ? expires < other.expires : sequence < other.sequence
  }
}

/// The memory of a heap of holds: places from 0 on, in pieces of 48 KB, so that growing and shrinking moves none of them.
/// Only the first piece starts small and is copied as it doubles. The order is kept by `Bucket`, which can reach the
/// records that know their places.
struct HoldQueue: ~Copyable {
  private static let pieceCount = 2048
  private static let pieceShift = 11
  private static let firstCount = 16
  private static let stride = MemoryLayout<QueuedHold>.stride

  private var pieces: UnsafeMutablePointer<UnsafeMutablePointer<QueuedHold>>?
  private(set) var pieceTotal = 0
  private var room = 0
  /// Places in the first piece while it is the only one.
  private var firstRoom = 0
  private(set) var count = 0
  /// Bytes allocated.
  private(set) var bytes = 0

  deinit {
    guard let pieces else { return }
    var index = 0
    while index < pieceTotal {
      stock_release(pieces[index])
      index &+= 1
    }
    stock_release(pieces)
  }

  /// The hold at a place below `count`.
  subscript(place: Int) -> QueuedHold {
    get { memory(at: place).pointee }
    nonmutating set { memory(at: place).pointee = newValue }
  }

  /// Whether another hold can have a place.
  var hasRoom: Bool { count < Int(Record.unqueued) }

  /// Adds a place at the end.
  mutating func append(_ hold: QueuedHold) {
    if count == (pieceTotal <= 1 ? firstRoom : pieceTotal &<< Self.pieceShift) { grow() }
    count &+= 1
    self[count &- 1] = hold
  }

  /// Drops the last place; a piece goes where another is free as well.
  mutating func removeLast() {
    count &-= 1
    guard pieceTotal > 1, count &+ Self.pieceCount <= (pieceTotal &- 1) &<< Self.pieceShift, let pieces else { return }
    pieceTotal &-= 1
    stock_release(pieces[pieceTotal])
    bytes &-= Self.pieceCount &* Self.stride
  }

  private func memory(at place: Int) -> UnsafeMutablePointer<QueuedHold> {
    // A queue that has the place has its piece.
    pieces.unsafelyUnwrapped[place &>> Self.pieceShift] + (place & (Self.pieceCount &- 1))
  }

  private mutating func grow() {
    if pieceTotal == 1 && firstRoom < Self.pieceCount { return enlargeFirst() }
    if pieceTotal == room { makeRoom() }
    let places = pieceTotal == 0 ? Self.firstCount : Self.pieceCount
    if pieceTotal == 0 { firstRoom = places }
    if let pieces { (pieces + pieceTotal).initialize(to: makePiece(places)) }
    pieceTotal &+= 1
  }

  private mutating func enlargeFirst() {
    guard let pieces else { return }
    let larger = makePiece(firstRoom &* 2)
    stock_copy(larger, pieces[0], firstRoom &* Self.stride)
    stock_release(pieces[0])
    bytes &-= firstRoom &* Self.stride
    firstRoom &*= 2
    pieces[0] = larger
  }

  private mutating func makePiece(_ places: Int) -> UnsafeMutablePointer<QueuedHold> {
    bytes &+= places &* Self.stride
    return stock_allocate(places &* Self.stride).bindMemory(to: QueuedHold.self, capacity: places)
  }

  private mutating func makeRoom() {
    let larger = room == 0 ? 2 : room &* 2
    let width = MemoryLayout<UnsafeMutablePointer<QueuedHold>>.stride
    let memory = stock_allocate(larger &* width)
      .bindMemory(to: UnsafeMutablePointer<QueuedHold>.self, capacity: larger)
    if let pieces {
      stock_copy(memory, pieces, pieceTotal &* width)
      stock_release(pieces)
    }
    bytes &+= (larger &- room) &* width
    pieces = memory
    room = larger
  }
}

// The heap's order: no hold is before its parent. Each record of a hold in the queue knows its place.
extension Bucket {
  /// The next hold to expire.
  var firstHold: QueuedHold? { holds.count == 0 ? nil : holds[0] }

  mutating func enqueue(_ hold: QueuedHold) {
    holds.append(hold)
    rise(hold, from: holds.count &- 1)
  }

  /// Takes the hold at a place out.
  mutating func dequeue(at place: Int) {
    let last = holds[holds.count &- 1]
    holds.removeLast()
    if place < holds.count { settle(last, at: place) }
  }

  /// Notes that a hold's record lies elsewhere now.
  mutating func move(holdAt place: Int, to address: UInt64) {
    var hold = holds[place]
    hold.address = address
    holds[place] = hold
  }

  /// Lets the hold at a place come due later.
  mutating func postpone(holdAt place: Int, to time: Int64) {
    var hold = holds[place]
    hold.expires = time
    sink(hold, from: place)
  }

  private mutating func settle(_ hold: QueuedHold, at place: Int) {
    if place > 0 && hold.isBefore(holds[(place &- 1) &>> 1]) {
      rise(hold, from: place)
    } else {
      sink(hold, from: place)
    }
  }

  private mutating func rise(_ hold: QueuedHold, from start: Int) {
    var place = start
    while place > 0 {
      let parent = (place &- 1) &>> 1
      guard hold.isBefore(holds[parent]) else { break }
      put(holds[parent], at: place)
      place = parent
    }
    put(hold, at: place)
  }

  private mutating func sink(_ hold: QueuedHold, from start: Int) {
    var place = start
    while true {
      var child = 2 &* place &+ 1
      guard child < holds.count else { break }
      if child &+ 1 < holds.count && holds[child &+ 1].isBefore(holds[child]) { child &+= 1 }
      guard holds[child].isBefore(hold) else { break }
      put(holds[child], at: place)
      place = child
    }
    put(hold, at: place)
  }

  @inline(__always)
  private func put(_ hold: QueuedHold, at place: Int) {
    holds[place] = hold
    record(at: hold.address).note(queuePlace: UInt32(truncatingIfNeeded: place))
  }
}
