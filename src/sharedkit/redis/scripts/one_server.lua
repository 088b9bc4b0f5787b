-- How a session is told something, and whether it listens, in a server that is no node of a cluster: it has one channel.

local function channel(_, sid) return 'sharedkit:session:' .. sid end

local function publish(to, message) return redis.call('PUBLISH', to, message) end

local function listeners(channels) return redis.call('PUBSUB', 'NUMSUB', unpack(channels)) end
