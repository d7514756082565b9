import { readFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { marked } from 'marked';
import { greeting } from './greeting';

const root = join(__dirname, '..');
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css',
  '.js': 'text/javascript',
};

async function answer(path: string, response: ServerResponse): Promise<void> {
  if (path === '/greeting') {
    response.end(`${greeting('the server')}\n`);
  } else if (path === '/notes') {
    response.setHeader('Content-Type', types['.html']);
    response.end(await marked.parse(await readFile(join(root, 'public/notes.md'), 'utf8')));
  } else {
    const name = path === '/' ? 'public/index.html' : path === '/page.js' ? 'dist/page.js' : join('public', normalize(path));
    const content = await readFile(join(root, name));
    response.setHeader('Content-Type', types[extname(name)] ?? 'text/plain; charset=utf-8');
    response.end(content);
  }
}

const server = createServer((request, response) => {
  answer(new URL(request.url ?? '/', 'http://localhost').pathname, response).catch(() => {
    response.statusCode = 404;
    response.end('There is no such page.\n');
  });
});

server.listen(process.env.PORT, () => console.log(`listening on ${process.env.PORT}`));
process.on('SIGTERM', () => process.exit(0)); // the first process of a container must ask for it
