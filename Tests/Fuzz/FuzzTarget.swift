import CStockABI
import Foundation

// The entry of libFuzzer. scripts/fuzz compiles it into one module with Sources/StockCore, once with FUZZ_COMMANDS; it is no
// target of the package, because libFuzzer brings a main function of its own.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let input = Array(UnsafeBufferPointer(start: start, count: count))
  #if FUZZ_COMMANDS
    CommandFuzz.run(input)
  #else
    PayloadFuzz.run(input)
  #endif
  return 0
}

/// Writes the inputs to begin with into the directory that `FUZZ_SEEDS` names, and ends the program.
@_cdecl("LLVMFuzzerInitialize")
public func initializeFuzzer(
  _ count: UnsafeMutablePointer<CInt>?,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>?
) -> CInt {
  guard let directory = ProcessInfo.processInfo.environment["FUZZ_SEEDS"] else { return 0 }
  #if FUZZ_COMMANDS
    let seeds = CommandFuzz.seeds
  #else
    let seeds = PayloadFuzz.seeds
  #endif
  for (index, seed) in seeds.enumerated() {
    let isWritten = FileManager.default.createFile(atPath: "\(directory)/seed-\(index)", contents: Data(seed))
    require(isWritten, "\(directory) can't be written to")
  }
  exit(0)
}

/// Ends the program with a report that libFuzzer keeps the input of.
func require(_ condition: Bool, _ what: String) {
  if !condition { fatalError(what) }
}

/// What holds of every bucket, whatever made it: its books balance, its log explains them, and all of it can be read.
func requireSound(_ bucket: borrowing Bucket) {
  let figures = bucket.figures
  require(
    figures.created + figures.added + figures.transferred_in
      == figures.available + figures.held + figures.sold + figures.transferred_out,
    "the books don't balance"
  )
  for total in [figures.available, figures.held, figures.sold, figures.transferred_in, figures.transferred_out] {
    require((0...Limits.number).contains(total), "a total of \(total)")
  }
  guard let events = try? bucket.events(after: figures.log_first - 1, count: .max) else { fatalError("no log") }
  require(Int64(events.count) == figures.log_last - figures.log_first + 1, "the log has gaps")
  for (event, next) in zip(events, events.dropFirst()) {
    require(event.sequence + 1 == next.sequence && event.to == next.from, "events don't follow")
  }
  if let last = events.last { require(last.to == figures.available, "the log doesn't come to what is available") }
  let tokens = Set(events.compactMap(\.token))
  for token in tokens { _ = bucket.known(token: token) }
  let transfers = bucket.transfers(all: true, count: .max) ?? []
  require(Int64(transfers.count { !$0.isSettled }) == figures.transfers, "transfers are miscounted")
}

/// A bucket that is carried by payloads is the same bucket.
func requireCarried(_ bucket: borrowing Bucket) {
  for size in [65_536, 700] {
    let parts = bucket.payloads(partBytes: size)
    guard let again = try? Bucket.restored(from: parts) else { fatalError("its own payload is refused") }
    require(again.payloads(partBytes: size) == parts, "carried, it is another")
    require(again.digestSums == bucket.digestSums, "carried, it has another digest")
  }
}
