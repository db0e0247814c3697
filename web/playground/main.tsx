import './workers';
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import 'graphiql/graphiql.css';
import './style.css';

import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';

import { Pages } from '../common/Pages';
import { readConfig } from './config';
import { createFetcher } from './fetcher';
import icon from './icon.svg';
import { activeTab, openStorage } from './storage';

const config = readConfig();
const storage = openStorage(config.namespace);
const fetcher = createFetcher(config);
const headers = JSON.stringify(config.headers, null, 2);

const active = activeTab(storage, config.tabs);
const initial = active && {
  initialQuery: active.query ?? '',
  initialVariables: active.variables ?? '',
  initialHeaders: active.headers ?? undefined,
};

createRoot(document.getElementById('root')!).render(
  <>
    <header>
      <Pages pages={config.pages} />
    </header>
    <div className="playground">
      <GraphiQL
        fetcher={fetcher}
        storage={storage}
        defaultTabs={config.tabs.length > 0 ? config.tabs : undefined}
        defaultHeaders={headers}
        defaultEditorToolsVisibility="variables"
        shouldPersistHeaders
        inputValueDeprecation
        schemaDescription
        {...initial}
      >
        <GraphiQL.Logo>
          <span className="brand">
            <img src={icon} alt="" width="18" height="18" />
            {config.title}
          </span>
        </GraphiQL.Logo>
      </GraphiQL>
    </div>
  </>,
);
