'use strict';
const fs = require('fs');
const http = require('http');
const path = require('path');

const greeting = 'Hello from Node';
const root = path.join(__dirname, 'public');

const server = http.createServer((request, response) => {
  const name = request.url === '/' ? 'index.html' : path.normalize(request.url).replace(/^\/+/, '');
  if (request.url === '/greeting') {
    response.end(`${greeting}\n`);
    return;
  }
  fs.readFile(path.join(root, name), (error, content) => {
    response.statusCode = error ? 404 : 200;
    response.setHeader('Content-Type', name.endsWith('.html') ? 'text/html; charset=utf-8' : 'text/plain');
    response.end(error ? 'There is no such page.\n' : content);
  });
});

server.listen(process.env.PORT, () => console.log(`listening on ${process.env.PORT}`));
process.on('SIGTERM', () => process.exit(0));
