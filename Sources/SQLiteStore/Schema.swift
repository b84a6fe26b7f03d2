import GRDB

/// The tables, in the order in which versions of the program brought them.
enum Schema {
  /// "dorb" in the file's header tells our files from other programs'.
  static let applicationID: Int32 = 0x646F_7262

  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1-sales-and-orders") { db in
      for statement in sales + orders + totals { try db.execute(sql: statement) }
    }
    migrator.registerMigration("2-leases-and-selling") { db in
      for statement in leases + selling { try db.execute(sql: statement) }
    }
    migrator.registerMigration("3-carts") { db in
      for statement in carts { try db.execute(sql: statement) }
    }
    migrator.registerMigration("4-servers") { db in
      for statement in servers { try db.execute(sql: statement) }
    }
    return migrator
  }

  private static let sales = [
    """
    CREATE TABLE products (
      sku TEXT NOT NULL PRIMARY KEY,
      stock INTEGER NOT NULL CHECK (stock >= 0)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE sales (
      sku TEXT NOT NULL PRIMARY KEY,
      stock INTEGER NOT NULL,
      buckets INTEGER NOT NULL,
      purchase_limit INTEGER NOT NULL,
      opens_ms INTEGER NOT NULL,
      closes_ms INTEGER NOT NULL,
      path TEXT NOT NULL,
      created_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    // The share is what the bucket was created with.
    """
    CREATE TABLE buckets (
      sku TEXT NOT NULL,
      bucket INTEGER NOT NULL,
      share INTEGER NOT NULL,
      PRIMARY KEY (sku, bucket)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE restocks (
      sku TEXT NOT NULL,
      token BLOB NOT NULL,
      quantity INTEGER NOT NULL,
      PRIMARY KEY (sku, token)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE log_positions (
      sku TEXT NOT NULL,
      bucket INTEGER NOT NULL,
      epoch INTEGER NOT NULL,
      sequence INTEGER NOT NULL,
      PRIMARY KEY (sku, bucket)
    ) STRICT, WITHOUT ROWID
    """,
  ]

  /// Orders keep their rowid. Tokens are random: clustered by them, every order dirties a page of whole rows when it is
  /// recorded and again when the log fills in its sequence. With a rowid the rows lie in the order of arrival, which is
  /// nearly the log's: measured on 300,000 orders, following the log is four times as fast, recording the same.
  private static let orders = [
    """
    CREATE TABLE orders (
      sku TEXT NOT NULL,
      token BLOB NOT NULL,
      user BLOB NOT NULL,
      quantity INTEGER NOT NULL CHECK (quantity BETWEEN 1 AND 9007199254740992),
      bucket INTEGER NOT NULL CHECK (bucket >= 0),
      sequence INTEGER,
      state TEXT NOT NULL CHECK (state IN ('held', 'sold', 'cancelled', 'rejected')),
      created_at INTEGER NOT NULL,
      PRIMARY KEY (sku, token)
    ) STRICT
    """
  ]

  /// Orders and units by state, so that totals cost four rows whatever the number of orders: counting a million takes
  /// two seconds, and an index to count from would be another random page an order. Triggers keep them, because then
  /// they are right whoever changes the orders, an operator's repair by hand included; they cost about 1 us an order.
  private static let totals = [
    """
    CREATE TABLE order_totals (
      sku TEXT NOT NULL,
      state TEXT NOT NULL,
      orders INTEGER NOT NULL,
      units INTEGER NOT NULL,
      PRIMARY KEY (sku, state)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TRIGGER product_inserted AFTER INSERT ON products BEGIN
      INSERT INTO order_totals
      SELECT NEW.sku, states.column1, count(orders.sku), ifnull(sum(orders.quantity), 0)
      FROM (VALUES ('held'), ('sold'), ('cancelled'), ('rejected')) AS states
      LEFT JOIN orders ON orders.sku = NEW.sku AND orders.state = states.column1
      GROUP BY states.column1;
    END
    """,
    """
    CREATE TRIGGER product_deleted AFTER DELETE ON products BEGIN
      DELETE FROM order_totals WHERE sku = OLD.sku;
    END
    """,
    """
    CREATE TRIGGER order_inserted AFTER INSERT ON orders BEGIN
      UPDATE order_totals SET orders = orders + 1, units = units + NEW.quantity
      WHERE sku = NEW.sku AND state = NEW.state;
    END
    """,
    """
    CREATE TRIGGER order_deleted AFTER DELETE ON orders BEGIN
      UPDATE order_totals SET orders = orders - 1, units = units - OLD.quantity
      WHERE sku = OLD.sku AND state = OLD.state;
    END
    """,
    """
    CREATE TRIGGER order_updated AFTER UPDATE OF sku, state, quantity ON orders BEGIN
      UPDATE order_totals SET orders = orders - 1, units = units - OLD.quantity
      WHERE sku = OLD.sku AND state = OLD.state;
      UPDATE order_totals SET orders = orders + 1, units = units + NEW.quantity
      WHERE sku = NEW.sku AND state = NEW.state;
    END
    """,
  ]

  /// Who follows which bucket, and until when (ms since 1970).
  private static let leases = [
    """
    CREATE TABLE bucket_leases (
      sku TEXT NOT NULL,
      bucket INTEGER NOT NULL,
      worker TEXT NOT NULL,
      expires_at INTEGER NOT NULL,
      PRIMARY KEY (sku, bucket)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE sale_workers (
      sku TEXT NOT NULL,
      worker TEXT NOT NULL,
      expires_at INTEGER NOT NULL,
      PRIMARY KEY (sku, worker)
    ) STRICT, WITHOUT ROWID
    """,
  ]

  /// What decides on which server a sale's buckets lie; without a row for sales that have none, and for older ones.
  private static let servers = [
    "CREATE TABLE sale_servers (sku TEXT NOT NULL PRIMARY KEY, servers TEXT NOT NULL) STRICT, WITHOUT ROWID"
  ]

  /// For sales on the path `database`: units held and sold by buyer, for the limit; and the orders that are held. Both
  /// are tables of their own, so that no other sale's orders pay for them.
  private static let selling = [
    """
    CREATE TABLE buyers (
      sku TEXT NOT NULL,
      user BLOB NOT NULL,
      units INTEGER NOT NULL,
      PRIMARY KEY (sku, user)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE holds (
      sku TEXT NOT NULL,
      token BLOB NOT NULL,
      expires_at INTEGER NOT NULL,
      PRIMARY KEY (sku, token)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX holds_by_end ON holds (sku, expires_at)",
  ]
  /// Carts that were recorded or ended, by their first line. A cart's orders alone don't tell whether it was: a buyer may
  /// have given one of them back since.
  private static let carts = [
    """
    CREATE TABLE recorded_carts (
      sku TEXT NOT NULL,
      token BLOB NOT NULL,
      user BLOB NOT NULL,
      cart TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('sold', 'cancelled')),
      created_at INTEGER NOT NULL,
      PRIMARY KEY (sku, token)
    ) STRICT, WITHOUT ROWID
    """
  ]
}
