/// Numbers as every part of the system writes them: decimal, without `+`, blanks, leading zeros or exponent.
public enum DecimalNumber {
  /// - Throws: ``InvalidInput`` that names `argument`, for another form or a number outside `bounds`.
  public static func parse(
    _ text: some Collection<UInt8>,
    argument: String,
    in bounds: ClosedRange<Int64>
  ) throws(InvalidInput) -> Int64 {
    guard let number = value(of: text), bounds.contains(number) else {
      throw InvalidInput(
        argument: argument,
        value: text,
        requirement: "a decimal number from \(bounds.lowerBound) to \(bounds.upperBound)"
      )
    }
    return number
  }

  private static func value(of text: some Collection<UInt8>) -> Int64? {
    let isNegative = text.first == UInt8(ascii: "-")
    let digits = text.dropFirst(isNegative ? 1 : 0)
    guard let first = digits.first, digits.count <= 19 else { return nil }
    if first == UInt8(ascii: "0"), digits.count > 1 || isNegative { return nil }
    var number: Int64 = 0
    for digit in digits {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
      let (tens, tensOverflow) = number.multipliedReportingOverflow(by: 10)
      let (sum, sumOverflow) = tens.addingReportingOverflow(Int64(digit - UInt8(ascii: "0")))
      if tensOverflow || sumOverflow { return nil }
      number = sum
    }
    return isNegative ? -number : number
  }
}
