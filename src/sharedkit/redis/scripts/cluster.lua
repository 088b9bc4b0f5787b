-- How a session is told something, and whether it listens, in a node of a cluster: it has a channel for each structure, in
-- the structure's slot. So the message does not go to the other nodes, and if the slot moves to another node, the server
-- ends the subscription, which tells the session at once.

local function channel(base, sid) return base .. ':session:' .. sid end

local function publish(to, message) return redis.call('SPUBLISH', to, message) end

local function listeners(channels) return redis.call('PUBSUB', 'SHARDNUMSUB', unpack(channels)) end
