module asyncio.example/bench

go 1.19
