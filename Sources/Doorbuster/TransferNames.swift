import Stock

extension TransferName {
  /// What a purchase pulls from a bucket to the buyer's home in one attempt. The same purchase names it alike wherever it
  /// is tried again, so it meets what it has moved before.
  ///
  /// The home is part of it: another buyer may have used the same token elsewhere. The token comes last, since it may be any
  /// bytes; the longest name has 151 of the 192 bytes that a name may have.
  static func pull(
    _ token: Token,
    attempt: Int,
    from source: Int,
    to home: Int
  ) throws(InvalidInput) -> TransferName {
    try TransferName(bytes: Array("pull/\(home)/\(source)/\(attempt)/".utf8) + token.bytes)
  }

  /// What a rebalancer moves: the `number`th movement of its run.
  static func move(from source: Int, to target: Int, run: UInt64, number: Int) throws(InvalidInput) -> TransferName {
    try TransferName("move/\(target)/\(source)/\(String(run, radix: 36))/\(number)")
  }

  /// What is brought to a bucket so that its share of a restock can be taken off sale.
  static func gathering(
    _ token: Token,
    attempt: Int,
    from source: Int,
    to target: Int
  ) throws(InvalidInput) -> TransferName {
    try TransferName(bytes: Array("down/\(target)/\(source)/\(attempt)/".utf8) + token.bytes)
  }
}
