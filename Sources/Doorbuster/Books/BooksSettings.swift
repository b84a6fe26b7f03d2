/// How books are compared and mended.
public struct BooksSettings: Sendable {
  /// Orders of one page. 1 to 10,000.
  public var page = 4096
  /// Questions under way at a time. 1 to 1024.
  public var lanes = 64
  /// What looks wrong is looked at again after that time, and counts only if it still does: what is being settled right
  /// now is no finding. 1 ms or more.
  public var settle: Duration = .seconds(2)
  /// A transfer that stays open for that long counts as left behind.
  public var transferAge: Duration = .seconds(60)
  /// How long a server that does not answer is waited for.
  public var patience: Duration = .seconds(30)
  /// Findings that are kept; what is beyond is repaired all the same, and counted.
  public var findingsMax = 100_000

  public init() {}
}
