import Testing

@testable import StockCore

@Suite("Transfers")
struct TransferTests {
  @Test("A withdrawal takes up to what is asked; again it tells what it took, whatever is asked")
  func withdraw() {
    var bucket = Bucket.sample(5)
    expect(&bucket, .withdraw(transfer: "T", quantity: 3, to: 1), .ok, 3, 2)
    expect(&bucket, .withdraw(transfer: "U", quantity: 3, to: 1), .ok, 2, 3)
    expect(&bucket, .withdraw(transfer: "V", quantity: 3, to: 1), .soldOut, 0, 0)
    expect(&bucket, .withdraw(transfer: "T", quantity: 1, to: 1), .duplicate, 3, 2)
    expect(&bucket, .withdraw(transfer: "U", quantity: Limits.number, to: 1), .duplicate, 2, 3)
    expectBooks(bucket, available: 0, transferredOut: 5)
    // What moved nothing is not remembered.
    bucket.play(.add(token: "more", quantity: 1))
    expect(&bucket, .withdraw(transfer: "V", quantity: 3, to: 2), .ok, 1, 5)
  }

  @Test("A deposit counts once; another peer, direction or quantity is a mismatch")
  func deposit() {
    var bucket = Bucket.sample(5)
    expect(&bucket, .deposit(transfer: "T", quantity: 3, from: 1), .ok, 8, 2)
    expect(&bucket, .deposit(transfer: "T", quantity: 3, from: 1), .duplicate, 8, 2)
    expect(&bucket, .deposit(transfer: "T", quantity: 2, from: 1), .transferMismatch)
    expect(&bucket, .deposit(transfer: "T", quantity: 3, from: 2), .transferMismatch)
    expect(&bucket, .withdraw(transfer: "T", quantity: 3, to: 1), .transferMismatch)
    expect(&bucket, .withdraw(transfer: "W", quantity: 3, to: 16383), .ok, 3, 3)
    expect(&bucket, .withdraw(transfer: "W", quantity: 3, to: 0), .transferMismatch)
    expect(&bucket, .deposit(transfer: "W", quantity: 3, from: 16383), .transferMismatch)
    expectBooks(bucket, available: 5, transferredIn: 3, transferredOut: 3)
  }

  @Test("A settled transfer is closed once, and late steps of it change nothing")
  func settle() {
    var bucket = Bucket.sample(5)
    expect(&bucket, .settle(transfer: "T"), .unknown, 5, 0)
    bucket.play(.withdraw(transfer: "T", quantity: 3, to: 1))
    let outcome = bucket.play(.settle(transfer: "T"))
    #expect(outcome.status == .ok && outcome.changed && outcome.sequence == 0 && outcome.remaining == 2)
    expect(&bucket, .settle(transfer: "T"), .duplicate, 2, 2)
    expect(&bucket, .withdraw(transfer: "T", quantity: 9, to: 1), .duplicate, 3, 2)
    expect(&bucket, .recordTransfer(transfer: "T", direction: .outgoing, peer: 1, quantity: 3), .duplicate, 2, 2)
    expect(&bucket, .recordTransfer(transfer: "T", direction: .outgoing, peer: 1, quantity: 2), .transferMismatch)
    #expect(bucket.figures.log_last == 2 && bucket.figures.transfers == 0)
  }

  @Test("A lost half is written in, with the units that must be there")
  func record() {
    var bucket = Bucket.sample(5, isFrozen: true)
    expect(&bucket, .recordTransfer(transfer: "O", direction: .outgoing, peer: 1, quantity: 6), .soldOut, 5, 0)
    expect(&bucket, .recordTransfer(transfer: "O", direction: .outgoing, peer: 1, quantity: 5), .ok, 0, 2)
    expect(&bucket, .recordTransfer(transfer: "I", direction: .incoming, peer: 2, quantity: 4), .ok, 4, 3)
    expect(&bucket, .deposit(transfer: "I", quantity: 4, from: 2), .duplicate, 4, 3)
    expect(&bucket, .recordTransfer(transfer: "I", direction: .outgoing, peer: 2, quantity: 4), .transferMismatch)
    expect(&bucket, .withdraw(transfer: "O", quantity: 1, to: 1), .duplicate, 5, 2)
    expectBooks(bucket, available: 4, transferredIn: 4, transferredOut: 5)
  }

  @Test("A frozen bucket gives nothing out and takes everything in")
  func frozen() {
    var bucket = Bucket.sample(5)
    bucket.play(.withdraw(transfer: "T", quantity: 2, to: 1))
    bucket.play(.freeze)
    expect(&bucket, .withdraw(transfer: "U", quantity: 2, to: 1), .frozen, 0, 0)
    expect(&bucket, .withdraw(transfer: "T", quantity: 2, to: 1), .duplicate, 2, 2)
    expect(&bucket, .deposit(transfer: "V", quantity: 1, from: 3), .ok, 4, 4)
    expect(&bucket, .settle(transfer: "T"), .ok, 4, 0)
  }

  @Test("Transfers are listed in order of making: the open ones or all, after any of them, settled or not")
  func list() throws {
    var bucket = Bucket.sample(100)
    var names: [String] = []
    for index in 0..<40 {
      names.append("move-\(index)")
      let play: Play =
        index % 2 == 0
        ? .withdraw(transfer: names[index], quantity: 1, to: 7) : .deposit(transfer: names[index], quantity: 2, from: 8)
      #expect(bucket.play(play, now: 1000 + Int64(index)).status == .ok)
      // Some are trimmed, some not.
      if index == 17 { _ = try bucket.trim(to: 12) }
    }
    var open = names
    var random = SeededGenerator(seed: 3)
    while !open.isEmpty {
      let settled = open.remove(at: .random(in: open.indices, using: &random))
      #expect(bucket.play(.settle(transfer: settled)).status == .ok)
      try checkList(bucket, names, open)
      try checkList(.restored(from: bucket.payloads(partBytes: 512)), names, open)
    }
    #expect(bucket.transfers(after: bytes("never"), count: 9) == nil)
    let first = bucket.transfers(all: true, count: 1)?.first
    let expected = KnownTransfer(
      name: bytes("move-0"),
      direction: .outgoing,
      peer: 7,
      quantity: 1,
      timestamp: 1000,
      isSettled: true
    )
    #expect(first == expected)
  }

  private func checkList(_ bucket: borrowing Bucket, _ all: [String], _ open: [String]) throws {
    let isOpen = Set(open)
    #expect(bucket.transfers(count: .max)?.map { text($0.name) } == open)
    #expect(bucket.transfers(all: true, count: .max)?.map(\.isSettled) == all.map { !isOpen.contains($0) })
    for (index, name) in all.enumerated() {
      let after = all[(index + 1)...]
      let found = bucket.transfers(after: bytes(name), count: 3)?.map { text($0.name) }
      let foundOfAll = bucket.transfers(all: true, after: bytes(name), count: 3)?.map { text($0.name) }
      #expect(found == Array(after.filter { isOpen.contains($0) }.prefix(3)), "after \(name)")
      #expect(foundOfAll == Array(after.prefix(3)), "after \(name)")
    }
  }
}
