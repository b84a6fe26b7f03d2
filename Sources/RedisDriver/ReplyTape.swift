import CHiredis

/// One parsed reply, laid out flat: its parts in the order in which they came, an array before its elements.
///
/// The memory is used again for the next reply, so that small replies cost no allocation. One parser writes it and one
/// thread reads it, in turn; the run-time check for overlapping accesses is left out.
final class ReplyTape {
  enum Kind: UInt8 { case simple, bulk, integer, array, null, error }

  struct Node {
    var kind: Kind
    /// An integer's value; an array's number of elements; the offset of a string's first byte.
    var value: Int
    /// A string's number of bytes.
    var size: Int
  }

  @exclusivity(unchecked) private(set) var nodes: [Node] = []
  @exclusivity(unchecked) private var text: UnsafeMutableRawPointer
  @exclusivity(unchecked) private var textCapacity = 1024
  @exclusivity(unchecked) private var textSize = 0

  /// What is kept from one reply to the next; beyond it, memory is given back.
  private static let textCapacityKept = 1 << 20
  private static let nodesKept = 1 << 16

  init() {
    text = .allocate(byteCount: textCapacity, alignment: 1)
    nodes.reserveCapacity(64)
  }

  deinit { text.deallocate() }

  var isError: Bool { nodes.first?.kind == .error }

  /// The text of the first part, if that is a string or an error; else nothing.
  var firstText: String {
    guard let node = nodes.first, node.size > 0 else { return "" }
    return String(decoding: bytes(of: node), as: UTF8.self)
  }

  func clear() {
    nodes.removeAll(keepingCapacity: nodes.capacity <= Self.nodesKept)
    textSize = 0
    if textCapacity > Self.textCapacityKept { resizeText(to: Self.textCapacityKept) }
  }

  func append(_ kind: Kind, _ value: Int) { nodes.append(Node(kind: kind, value: value, size: 0)) }

  func append(_ kind: Kind, bytes: UnsafeRawPointer?, size: Int) {
    if textCapacity - textSize < size { resizeText(to: max(textCapacity * 2, textSize + size)) }
    if let bytes { (text + textSize).copyMemory(from: bytes, byteCount: size) }
    nodes.append(Node(kind: kind, value: textSize, size: size))
    textSize += size
  }

  /// Valid until the next change.
  func bytes(of node: Node) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: text + node.value, count: node.size)
  }

  private func resizeText(to capacity: Int) {
    let fresh = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 1)
    fresh.copyMemory(from: text, byteCount: textSize)
    text.deallocate()
    text = fresh
    textCapacity = capacity
  }
}

/// hiredis' reader, which is fed with bytes as they come and writes whole replies to a ``ReplyTape``.
final class ReplyParser {
  let tape = ReplyTape()
  private let reader: UnsafeMutablePointer<redisReader>
  private let functions: UnsafeMutablePointer<redisReplyObjectFunctions>

  /// Nil if there is no memory.
  init?() {
    functions = .allocate(capacity: 1)
    functions.initialize(to: Self.tapeFunctions)
    guard let reader = redisReaderCreateWithFunctions(functions) else {
      functions.deallocate()
      return nil
    }
    self.reader = reader
    reader.pointee.privdata = Unmanaged.passUnretained(tape).toOpaque()
  }

  deinit {
    redisReaderFree(reader)
    functions.deallocate()
  }

  enum Outcome: Equatable {
    /// A reply has been added to the tape.
    case whole
    case incomplete
    case malformed(String)
  }

  /// The reader moves what is left of its buffer for every kilobyte it has read, so it gets few kilobytes at a time.
  static let feedBytesMax = 4096

  /// Adds bytes, at most ``feedBytesMax`` for good speed.
  func feed(_ bytes: UnsafeRawBufferPointer) {
    // A failure stays in the reader, and `next` reports it.
    _ = redisReaderFeed(reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
  }

  /// Reads on until a whole reply is on the tape.
  func next() -> Outcome {
    var reply: UnsafeMutableRawPointer?
    guard redisReaderGetReply(reader, &reply) == REDIS_OK else {
      return .malformed(
        withUnsafeBytes(of: &reader.pointee.errstr) { text in
          String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
        }
      )
    }
    return reply == nil ? .incomplete : .whole
  }

  /// hiredis wants an object for every part of a reply; anything but null will do, as the parts are on the tape.
  private static var tapeFunctions: redisReplyObjectFunctions {
    redisReplyObjectFunctions(
      createString: { task, bytes, size in
        guard let task, let tape = ReplyParser.tape(of: task) else { return nil }
        let kind: ReplyTape.Kind =
          switch task.pointee.type {
          case REDIS_REPLY_ERROR: .error
          case REDIS_REPLY_STATUS: .simple
          default: .bulk
          }
        tape.append(kind, bytes: bytes, size: size)
        return task.pointee.privdata
      },
      createArray: { task, count in
        guard let task, let tape = ReplyParser.tape(of: task) else { return nil }
        tape.append(.array, Int(count))
        return task.pointee.privdata
      },
      createInteger: { task, number in
        guard let task, let tape = ReplyParser.tape(of: task) else { return nil }
        tape.append(.integer, Int(number))
        return task.pointee.privdata
      },
      createNil: { task in
        guard let task, let tape = ReplyParser.tape(of: task) else { return nil }
        tape.append(.null, 0)
        return task.pointee.privdata
      },
      freeObject: { _ in }
    )
  }

  @inline(__always)
  private static func tape(of task: UnsafePointer<redisReadTask>) -> ReplyTape? {
    guard let privdata = task.pointee.privdata else { return nil }
    return Unmanaged<ReplyTape>.fromOpaque(privdata).takeUnretainedValue()
  }
}
