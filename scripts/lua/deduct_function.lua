#!lua name=recipe
-- The recipe of deduct.lua as a Redis function. KEYS: stock, the user's tokens. ARGV: quantity, token.
redis.register_function('recipe_deduct', function(keys, args)
  if redis.call('HEXISTS', keys[2], args[2]) == 1 then
    return redis.error_reply('DUPLICATE')
  end
  local stock = redis.call('GET', keys[1])
  if stock == false then
    return redis.error_reply('NOSTOCK')
  end
  local before = tonumber(stock)
  local quantity = tonumber(args[1])
  if before < quantity then
    return redis.error_reply('SOLDOUT')
  end
  local after = before - quantity
  redis.call('SET', keys[1], string.format('%.0f', after))
  local time = redis.call('TIME')
  redis.call('HSET', keys[2], args[2], cjson.encode({
    action = 'deduct', from = before, to = after, change = quantity, by = args[2],
    timestamp = time[1] * 1000 + math.floor(time[2] / 1000),
  }))
  return after
end)
